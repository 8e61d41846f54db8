/* Registers of 8 floats: AVX2, and half registers of AVX-512. TARGET and NAME are of who includes it. */
#define LANES 8
#define MAX_ROWS 12
#define MAX_ROWS_2 6
#define REGISTERS 12

typedef __m256 vec;

INLINE TARGET vec load(const float *p) { return _mm256_loadu_ps(p); }
INLINE TARGET vec load_int8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE TARGET void store(float *p, vec a) { _mm256_storeu_ps(p, a); }
INLINE TARGET vec broadcast(const float *p) { return _mm256_broadcast_ss(p); }
INLINE TARGET vec zero(void) { return _mm256_setzero_ps(); }
INLINE TARGET vec muladd(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE TARGET vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
