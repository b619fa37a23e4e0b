// Does not compile unless the flags that every target of ours has put libc's checks of bounds in
// force at their highest level: libc lowers it by itself when the optimiser is off, and says
// nothing.
#include <features.h>

#if !defined(__USE_FORTIFY_LEVEL) || __USE_FORTIFY_LEVEL != 3
#error "_FORTIFY_SOURCE=3 is not in force"
#endif
#ifndef __SSP_STRONG__
#error "-fstack-protector-strong is not in force"
#endif
#ifndef __PIE__
#error "-fPIE is not in force"
#endif
#ifndef _GLIBCXX_ASSERTIONS
#error "the library's assertions are not in force"
#endif
