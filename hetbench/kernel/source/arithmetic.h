/* exp, log and log2 without a C library, and short vectors of float. Results are within 2 units in the last place. */
#include <stdint.h>

typedef float v8 __attribute__((vector_size(32)));
typedef float v8u __attribute__((vector_size(32), aligned(4)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef int8_t c32 __attribute__((vector_size(32)));

#define IN static inline __attribute__((always_inline))

IN double bits_to_double(uint64_t bits) { double out; __builtin_memcpy(&out, &bits, 8); return out; }
IN uint64_t double_to_bits(double value) { uint64_t out; __builtin_memcpy(&out, &value, 8); return out; }
IN int is_nan(double x) { return x != x; }
IN double nan_value(void) { return bits_to_double(0x7ff8000000000000ull); }
IN double infinity(void) { return bits_to_double(0x7ff0000000000000ull); }

/* numpy's maximum and minimum pass NaN on, its fmax ignores it */
IN double maximum(double a, double b) { return is_nan(a) ? a : is_nan(b) ? b : a > b ? a : b; }
IN double minimum(double a, double b) { return is_nan(a) ? a : is_nan(b) ? b : a < b ? a : b; }
IN double fmax_(double a, double b) { return is_nan(a) ? b : is_nan(b) ? a : a > b ? a : b; }

IN double floor_(double x) {
    if (!(x > -4503599627370496.0 && x < 4503599627370496.0)) return x;
    double whole = (double)(int64_t)x;
    return whole > x ? whole - 1.0 : whole;
}
IN double ceil_(double x) { return -floor_(-x); }

/* log(m) = 2 atanh((m - 1) / (m + 1)) for m in [sqrt(1/2), sqrt(2)) */
IN double log_of_mantissa(double m) {
    double s = (m - 1.0) / (m + 1.0), z = s * s;
    double p = 1.0 / 23;
    p = p * z + 1.0 / 21; p = p * z + 1.0 / 19; p = p * z + 1.0 / 17; p = p * z + 1.0 / 15; p = p * z + 1.0 / 13;
    p = p * z + 1.0 / 11; p = p * z + 1.0 / 9; p = p * z + 1.0 / 7; p = p * z + 1.0 / 5; p = p * z + 1.0 / 3;
    return 2.0 * s + 2.0 * s * z * p;
}

IN int split(double x, double *mantissa) {
    uint64_t bits = double_to_bits(x);
    int exponent = (int)(bits >> 52) - 1023;
    if (exponent == -1023) { bits = double_to_bits(x * 18014398509481984.0); exponent = (int)(bits >> 52) - 1023 - 54; }
    double m = bits_to_double((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
    if (m > 1.4142135623730951) { m *= 0.5; exponent += 1; }
    *mantissa = m;
    return exponent;
}

IN double log2_(double x) {
    if (is_nan(x) || x < 0) return nan_value();
    if (x == 0) return -infinity();
    if (x == infinity()) return x;
    double m;
    int e = split(x, &m);
    return (double)e + log_of_mantissa(m) * 1.4426950408889634;
}

IN double log_(double x) {
    if (is_nan(x) || x < 0) return nan_value();
    if (x == 0) return -infinity();
    if (x == infinity()) return x;
    double m;
    int e = split(x, &m);
    return (double)e * 0.6931471803691238 + ((double)e * 1.9082149292705877e-10 + log_of_mantissa(m));
}

IN double exp_(double x) {
    if (is_nan(x)) return x;
    if (x > 709.7) return infinity();
    if (x < -708.0) return 0.0;
    double k = floor_(x * 1.4426950408889634 + 0.5);
    double r = (x - k * 0.6931471803691238) - k * 1.9082149292705877e-10;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600; p = p * r + 1.0 / 39916800; p = p * r + 1.0 / 3628800; p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320; p = p * r + 1.0 / 5040; p = p * r + 1.0 / 720; p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24; p = p * r + 1.0 / 6; p = p * r + 0.5; p = p * r + 1.0; p = p * r + 1.0;
    return p * bits_to_double((uint64_t)((int64_t)k + 1023) << 52);
}

/* x / (1 + exp(-x)) of eight floats, exponents clipped to 60 */
IN v8 silu8(v8 x) {
    v8 y = -x;
    y = __builtin_elementwise_max(__builtin_elementwise_min(y, (v8){0} + 60.0f), (v8){0} - 60.0f);
    v8 t = y * 1.44269504f + 12582912.0f; /* rounds to a whole number in the low bits */
    v8 k = t - 12582912.0f;
    v8 r = (y - k * 0.693359375f) + k * 2.12194440e-4f;
    v8 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f; p = p * r + 4.1665795894e-2f; p = p * r + 1.6666665459e-1f; p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    i8 exponent = (__builtin_convertvector(k, i8) + 127) << 23;
    v8 scale;
    __builtin_memcpy(&scale, &exponent, sizeof scale);
    return x / (p * scale + 1.0f);
}
