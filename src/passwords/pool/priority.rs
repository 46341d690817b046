//! The scheduling priority of hashing threads.
//!
//! # Decisions
//!
//! *Nice 15 and time slices of 0.1 ms.* A batch keeps every core busy. Linux lets a running thread finish its time slice
//! (3 ms) before a thread that has just become runnable, and every step of a request waits for that. Short time slices
//! (`sched_runtime`, since Linux 6.12; ignored before) end sooner. Linux then runs the thread with the earliest
//! deadline: at nice 15 the deadline is after 0.1 ms × 1024 / 36 = 2.84 ms, for other threads after at most 2.8 ms, so
//! a newly runnable thread goes first. Measured as the p99 of userinfo while 2,000 passwords are hashed, relative to an
//! idle server, on two cores (medians of 5 alternating pairs): 12.15 without either, 5.77 with short time slices, 2.5
//! to 5.9 with nice 10, 2.41 with nice 15. The hashing rate is unchanged unless other programs compete for every core.

/// Lowers the priority of the calling thread.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "sched_setattr has no safe interface; measured above")]
pub(super) fn lower() {
    use nix::libc::{SYS_sched_setattr, syscall};

    /// `struct sched_attr` of `sched_setattr(2)`, version 0.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    const SIZE: u32 = 48;
    const _: () = assert!(size_of::<Attributes>() == 48, "the size of version 0");

    let attributes = Attributes {
        size: SIZE,
        // SCHED_OTHER, the default.
        policy: 0,
        flags: 0,
        nice: 15,
        priority: 0,
        // In nanoseconds; the minimum.
        runtime: 100_000,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the structure is initialized, outlives the call and is only read; 0 is the calling thread.
    let result = unsafe { syscall(SYS_sched_setattr, 0, &raw const attributes, 0_u32) };
    if result != 0 {
        // A sandbox can forbid the call. Hashing works without it.
        tracing::debug!(error = %std::io::Error::last_os_error(), "failed to lower the priority of a hashing thread");
    }
}

/// Other systems keep the default priority.
#[cfg(not(target_os = "linux"))]
pub(super) const fn lower() {}
