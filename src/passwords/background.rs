//! Hash threads give way to everybody who is waited for.
//!
//! # Decisions
//!
//! *Nice 15, and turns of 0.1 ms.* Hashing takes every core there is for as long as a batch has passwords. Linux
//! lets a thread that has its turn finish it (3 ms) before one that has just got something to do: each
//! step of a request waits for that. Threads that take short turns (`sched_runtime`, since Linux 6.12; older
//! ones ignore it) are done sooner. Of those who may run Linux then takes the one whose turn is due first: that of
//! a thread at nice 15 is due after 0.1 ms × 1024 / 36 = 2.84 ms, that of anybody else after 2.8 ms at the
//! latest, so whoever has just got something to do goes first. The p99 of userinfo while 2,000 passwords
//! are hashed, over that on the idle server, on two cores (medians of 5 alternating pairs): 12.15 without
//! either, 5.77 with short turns, 2.5 to 5.9 with nice 10, 2.41 with nice 15 (and 1.04 now that identities are
//! read again on other threads). The rate of hashing is the same; only where other programs want every core as
//! well do they get more of them than a batch does.

/// Makes the calling thread one that gives way.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "sched_setattr has no safe interface; measured above")]
pub(super) fn give_way() {
    use nix::libc::{SYS_sched_setattr, syscall};

    /// `struct sched_attr` of `sched_setattr(2)`, in its first version.
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
    const _: () = assert!(size_of::<Attributes>() == 48, "the first version of the structure");

    let attributes = Attributes {
        size: SIZE,
        // SCHED_OTHER, the usual one.
        policy: 0,
        flags: 0,
        nice: 15,
        priority: 0,
        // Nanoseconds; the shortest there is.
        runtime: 100_000,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the structure is whole, outlives the call and is only read; 0 is the calling thread.
    let result = unsafe { syscall(SYS_sched_setattr, 0, &raw const attributes, 0_u32) };
    if result != 0 {
        // A sandbox may forbid it: hashing works the same.
        tracing::debug!(error = %std::io::Error::last_os_error(), "hash threads keep the usual priority");
    }
}

/// Elsewhere threads keep the usual priority.
#[cfg(not(target_os = "linux"))]
pub(super) const fn give_way() {}
