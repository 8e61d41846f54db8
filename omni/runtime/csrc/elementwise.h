/* Activations, sums and norms over rows of float32, written so that compilers vectorize them (-fopenmp-simd). */
#ifndef OMNI_ELEMENTWISE_H
#define OMNI_ELEMENTWISE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* A version for AVX2 beside the plain one, chosen when the library is loaded, where the compiler can do that. */
#if !defined(OMNI_CLONES) && defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
#define OMNI_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define OMNI_CLONES __attribute__((target_clones("avx2", "default")))
#endif
#elif !defined(OMNI_CLONES) /* -DOMNI_CLONES= for sanitizers, which do not know such functions */
#define OMNI_CLONES
#endif

enum { OMNI_RELU = 0, OMNI_GELU = 1, OMNI_SILU = 2 };

/* e^x to about 2 units in the last place: 2^n times a polynomial in what is left over (Cody and Waite's reduction). */
static inline float omni_exp(float x) {
    x = x < 88.0f ? x : 88.0f; /* each one instruction of a vector unit, which a branch is not */
    x = x > -87.0f ? x : -87.0f;
    float n = x * 1.44269504f + 12582912.0f; /* rounds: 1.5 * 2^23 leaves no digits for a fraction */
    n -= 12582912.0f;
    float r = x - n * 0.693359375f;
    r -= n * -2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    union { int32_t bits; float value; } power = {((int32_t)n + 127) << 23};
    return p * power.value;
}

/* Abramowitz and Stegun 7.1.26: an absolute error of 1.5e-7 at most. */
static inline float omni_erf(float x) {
    float a = fabsf(x), t = 1.0f / (1.0f + 0.3275911f * a);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    return copysignf(1.0f - p * t * omni_exp(-a * a), x);
}

#endif
