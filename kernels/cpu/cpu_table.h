// The tables of production kernels, one for each instruction set that the library was compiled for.
#pragma once

#include "kernels/kernel_table.h"

namespace ftl {

namespace cpu_baseline {
const KernelTable& cpu_table();
}
#if defined(__x86_64__)
namespace cpu_avx2 {  // AVX2 and FMA
const KernelTable& cpu_table();
}
#endif

}  // namespace ftl
