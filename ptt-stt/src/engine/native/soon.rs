//! Memory that is read soon. Weights are read once per token, or once per piece of work, so they are never in a near cache, and
//! rows of 400 to 2,000 bytes are too short for the processor to see by itself what comes next.

/// Has the processor fetch `values[index]`, with what else is in its 64 bytes, into the second cache. There need be no such value.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "other processors are not asked"))]
pub fn read_soon<T>(values: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        #[expect(unsafe_code, reason = "a hint with an address")]
        // SAFETY: nothing is read, and an address that is nobody's is left alone.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().wrapping_add(index).cast());
        }
    }
}
