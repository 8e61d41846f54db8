/* NEON of aarch64: 4 floats a register, 32 registers. A vector is two of them: blocks have 8 rows. */
#if defined(__aarch64__)
#include <arm_neon.h>

#include "internal.h"

#define TARGET
#define NAME(x) neon_##x
#define LANES 8
#define MAX_ROWS 12
#define MAX_ROWS_2 6
#define REGISTERS 8 /* of 8 floats: 16 accumulators */

typedef struct {
    float32x4_t low, high;
} vec;

/* Through bytes: floats out of a file may have any alignment. */
INLINE float32x4_t load_4(const float *p) { return vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)p)); }
INLINE vec load(const float *p) { return (vec){load_4(p), load_4((const float *)((const char *)p + 16))}; }
INLINE vec load_int8(const int8_t *p)
{
    int16x8_t wide = vmovl_s8(vld1_s8(p));
    return (vec){vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), vcvtq_f32_s32(vmovl_high_s16(wide))};
}
INLINE void store(float *p, vec a)
{
    vst1q_f32(p, a.low);
    vst1q_f32(p + 4, a.high);
}
INLINE vec broadcast(const float *p)
{
    float32x4_t one = vdupq_n_f32(*p);
    return (vec){one, one};
}
INLINE vec zero(void) { return (vec){vdupq_n_f32(0), vdupq_n_f32(0)}; }
INLINE vec muladd(vec a, vec b, vec c)
{
    return (vec){vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
INLINE vec add(vec a, vec b) { return (vec){vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }

#include "tiles.h"

const omni_kernels omni_neon = {"neon", neon_sparse, neon_dense};
#endif
