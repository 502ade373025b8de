/* The entry points of the library: each calls the variant for this processor. */
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
int _fltused = 1;
int DllMainCRTStartup(void *module, unsigned reason, void *reserved) { (void)module; (void)reason; (void)reserved; return 1; }
#else
#define EXPORT __attribute__((visibility("default")))
#endif

typedef const void *P;

/* compilers turn loops into calls of these */
__attribute__((visibility("hidden"))) void *memcpy(void *to, const void *from, __SIZE_TYPE__ size) {
    char *t = to;
    const char *f = from;
    for (__SIZE_TYPE__ i = 0; i < size; i++) t[i] = f[i];
    return to;
}
__attribute__((visibility("hidden"))) void *memset(void *to, int value, __SIZE_TYPE__ size) {
    char *t = to;
    for (__SIZE_TYPE__ i = 0; i < size; i++) t[i] = (char)value;
    return to;
}

#if defined(__x86_64__)
#include <cpuid.h>
static int wide = -1;
static int is_wide(void) {
    if (wide < 0) {
        unsigned a, b, c, d, low = 0, high;
        int found = 0;
        if (__get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 27)) && (c & (1u << 12))) { /* OSXSAVE, FMA */
            __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
            if ((low & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d)) found = (b & (1u << 5)) != 0; /* AVX2 */
        }
        wide = found;
    }
    return wide;
}
EXPORT int hetbench_use_wide(int yes) { wide = yes ? -1 : 0; return is_wide(); } /* tests run both variants */
#define CHOOSE(name, ...) return is_wide() ? name##_wide(__VA_ARGS__) : name##_any(__VA_ARGS__)
#define BOTH(name, ...) int name##_any(__VA_ARGS__); int name##_wide(__VA_ARGS__);
#else
EXPORT int hetbench_use_wide(int yes) { (void)yes; return 0; }
#define CHOOSE(name, ...) return name##_any(__VA_ARGS__)
#define BOTH(name, ...) int name##_any(__VA_ARGS__);
#endif

BOTH(forest, P, const float *, int64_t, int64_t, double *)
BOTH(network, P, const float *, int64_t, int64_t, const float *, const int64_t *, double *)
BOTH(operators, int64_t, P, P, P, const int32_t *, const int32_t *, const int32_t *, const double *, int64_t, int64_t,
     double *, double *)
BOTH(work, P, int64_t, const double *, double *, double *)
BOTH(whole, P, int64_t, P, P, P, int64_t, double, const double *, double *, double *)
BOTH(sums, P, int64_t, const double *, double *, double *)

EXPORT int hetbench_format(void) { return 2; }
EXPORT int hetbench_forest(P f, const float *matrix, int64_t stride, int64_t rows, double *out) {
    CHOOSE(forest, f, matrix, stride, rows, out);
}
EXPORT int hetbench_network(P f, const float *matrix, int64_t stride, int64_t rows, const float *labels,
                            const int64_t *index, double *out) {
    CHOOSE(network, f, matrix, stride, rows, labels, index, out);
}
EXPORT int hetbench_operators(int64_t which_class, P cls, P facts, P groups, const int32_t *which, const int32_t *row,
                              const int32_t *halved, const double *columns, int64_t rows, int64_t asked, double *out,
                              double *work) {
    CHOOSE(operators, which_class, cls, facts, groups, which, row, halved, columns, rows, asked, out, work);
}
EXPORT int hetbench_sums(P parts, int64_t many, const double *values, double *work, double *out) {
    CHOOSE(sums, parts, many, values, work, out);
}
EXPORT int hetbench_work(P parts, int64_t many, const double *values, double *work, double *out) {
    CHOOSE(work, parts, many, values, work, out);
}
EXPORT int hetbench_whole(P parts, int64_t many, P facts, P kinds, P seeds, int64_t seeded, double batch,
                          const double *values, double *work, double *out) {
    CHOOSE(whole, parts, many, facts, kinds, seeds, seeded, batch, values, work, out);
}
