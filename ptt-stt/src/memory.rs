//! Gives memory that was freed back to the system.
//!
//! glibc keeps freed memory for itself: of a model that was given back, most would stay resident.
//! It has several heaps, and what is free at the end of one stays, but for the first heap.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "calls of the C library that no crate wraps"))]

/// Lets all threads of this process share one heap. To be called before there is another thread.
/// Threads that allocate at the same time wait for each other; the engines do so for large memory
/// only.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers, and may be called from any thread at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Returns all whole pages that are free to the system. Takes milliseconds: after a model was
/// loaded or dropped, not in a decode. Other C libraries than glibc return large memory when it is
/// freed.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
