//! An allocator that counts, thread by thread, for tests that hold a bound. Taking this file in makes it the allocator of
//! the test's whole program.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, with a count of the bytes this thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static HERE: Cell<u64> = const { Cell::new(0) };
}

/// Allocations of all threads.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// How often any thread has allocated so far.
#[allow(dead_code, reason = "each test program takes in the whole file and uses its part")]
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// How often this thread has: what the harness does beside a test is not the test's.
#[allow(dead_code, reason = "each test program takes in the whole file and uses its part")]
pub fn allocations_here() -> u64 {
    HERE.get()
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

#[expect(unsafe_code, reason = "a global allocator cannot be written without; it only counts and passes on")]
// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        ALLOCATIONS.fetch_add(1, Relaxed);
        HERE.set(HERE.get() + 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise about `pointer` and `layout` is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, and the most bytes it held at a time. Without a `realloc` of its own the allocator counts the old
/// and the new block of a growing array together.
#[allow(dead_code, reason = "each test program takes in the whole file and uses its part")]
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}
