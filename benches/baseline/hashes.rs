//! Bare argon2id.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::figures::password;

/// One thread for each core, each with memory that it reuses, on huge pages if available. The parameters are muster's
/// defaults.
pub struct Hashes {
    memory: Vec<Vec<Block>>,
    params: Params,
}

impl Hashes {
    pub fn new() -> Self {
        let params = Params::new(19456, 2, 1, Some(32)).unwrap();
        let threads = std::thread::available_parallelism().unwrap().get();
        let memory = (0..threads).map(|_| huge(params.block_count())).collect();
        let mut hashes = Self { memory, params };
        hashes.run(threads * 4);
        hashes
    }

    /// The time of `count` hashes on all threads.
    pub fn run(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for memory in &mut self.memory {
                let (next, params) = (&next, self.params.clone());
                scope.spawn(move || {
                    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            return;
                        }
                        let mut tag = [0; 32];
                        let salt: [u8; 16] = rand::random();
                        argon2
                            .hash_password_into_with_memory(password(n).as_bytes(), &salt, &mut tag, &mut *memory)
                            .unwrap();
                        std::hint::black_box(tag);
                    }
                });
            }
        });
        start.elapsed()
    }
}

/// Memory allocated like the server's.
fn huge(blocks: usize) -> Vec<Block> {
    let mut memory: Vec<Block> = Vec::with_capacity(blocks);
    #[cfg(target_os = "linux")]
    advise(memory.as_mut_ptr().cast(), blocks * Block::SIZE);
    memory.resize(blocks, Block::default());
    memory
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the baseline must be as fast as possible")]
fn advise(start: *mut std::ffi::c_void, length: usize) {
    use nix::sys::mman::{MmapAdvise, madvise};
    let skip = start.align_offset(4096);
    let whole = (length - skip) / 4096 * 4096;
    let start = std::ptr::NonNull::new(start.wrapping_byte_add(skip)).unwrap();
    // SAFETY: the range lies within one live allocation, and the advice changes no content.
    let _ = unsafe { madvise(start, whole, MmapAdvise::MADV_HUGEPAGE) };
}

/// The time of `count` hashes with libsodium on all cores, or `None` if libsodium is not installed.
pub fn libsodium(count: usize) -> Option<Duration> {
    // ctypes releases Python's GIL during the call.
    let script = r#"
import ctypes, os, sys, threading, time
sodium = ctypes.CDLL("libsodium.so.23")
sodium.sodium_init()
count, threads = int(sys.argv[1]), len(os.sched_getaffinity(0))
pwhash = sodium.crypto_pwhash
pwhash.argtypes = [ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_char_p,
    ctypes.c_ulonglong, ctypes.c_size_t, ctypes.c_int]
def work(first):
    tag = ctypes.create_string_buffer(32)
    for n in range(first, count, threads):
        password = b"kT9$wqzPlr-%05d" % n
        assert pwhash(tag, 32, password, len(password), os.urandom(16), 2, 19456 * 1024, 2) == 0
start = time.monotonic()
running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
for thread in running: thread.start()
for thread in running: thread.join()
print(time.monotonic() - start)
"#;
    let output = Command::new("python3").args(["-c", script, &count.to_string()]).output().ok()?;
    let seconds: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}
