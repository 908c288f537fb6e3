//! An allocator that counts, for tests that ask how much memory is held. A program that has this module
//! allocates with it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The system's allocator, and how many bytes are out now and were at the most.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` with the very arguments that came in, so that its promises hold
// here as well; counting touches nothing that is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller of this method promises what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above; `place` came from `System`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests that wait for each other: what another held would be counted too.
static ONE: Mutex<()> = Mutex::new(());

/// Held for the whole of a test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many bytes more than before were out at the most while this ran, in all threads.
pub(crate) fn held_during<R>(run: impl FnOnce() -> R) -> usize {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let _result = run();
    MOST.load(Relaxed) - before
}
