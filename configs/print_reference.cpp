#include <cstdio>

#include "configs/config_reader.h"

int main() { std::fputs(ftl::config_reference().c_str(), stdout); }
