// The production kernels (<op>_cpu.cpp) are compiled once for every instruction set, each time into another namespace:
// ftl::cpu_baseline and, on x86-64, ftl::cpu_avx2. The build names it; elsewhere FTL_CPU is the baseline.
#pragma once

#ifndef FTL_CPU
#define FTL_CPU cpu_baseline
#endif
