use std::time::Instant;

use super::*;
use crate::passwords::{ImportedHash, Policy};

fn parameters() -> Parameters {
    Parameters::new(19456, 2, 1).unwrap()
}

fn pool(threads: usize, longest_queue: usize) -> Pool {
    Pool::start(parameters(), threads, longest_queue, Duration::from_secs(86400)).unwrap()
}

/// A pool of two threads that assumes 100 ms per hash.
fn slow_pool(longest_queue: usize, longest_wait: u64) -> Pool {
    let pool = Pool::start(parameters(), 2, longest_queue, Duration::from_secs(longest_wait)).unwrap();
    pool.shared.nanos_per_hash.store(100_000_000, Ordering::Relaxed);
    pool
}

fn passwords(count: usize) -> Vec<Password> {
    let policy = Policy::new(8, 0);
    (0..count).map(|n| policy.check(&format!("password {n}"), &[]).unwrap()).collect()
}

fn admit(pool: &Pool, waiting: usize, count: usize) -> Result<(), Busy> {
    pool.room(waiting, count, Duration::ZERO, |hashes| pool.time_for(hashes))
}

fn retry_after(admitted: Result<(), Busy>) -> u64 {
    admitted.unwrap_err().retry_after.as_secs()
}

/// Starts a batch, and returns its progress once the first password is hashed.
async fn started(pool: &Arc<Pool>, count: usize) -> (Arc<Progress>, tokio::task::JoinHandle<Result<usize, String>>) {
    let progress = Arc::<Progress>::default();
    let running = tokio::spawn({
        let (pool, progress) = (Arc::clone(pool), Arc::clone(&progress));
        async move {
            let hashes = pool.hash_batch(passwords(count), progress).await;
            hashes.map(|hashes| hashes.len()).map_err(|error| format!("{error:?}"))
        }
    });
    while progress.done() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (progress, running)
}

#[tokio::test]
async fn hashes_are_in_the_order_of_the_passwords() {
    let hashes = pool(2, 100).hash_batch(passwords(9), Arc::default()).await.unwrap();
    for (n, hash) in hashes.iter().enumerate() {
        let verified = crate::passwords::verify(hash.as_str(), format!("password {n}").as_bytes(), &parameters());
        assert_eq!(verified, Ok(Verified { matches: true, needs_rehash: false }));
    }
    assert_eq!(hashes.len(), 9);
}

#[tokio::test]
async fn a_full_queue_rejects_a_batch_at_once_with_a_retry_time() {
    let pool = Arc::new(pool(1, 400));
    let (_, first) = started(&pool, 400).await;
    let progress = Arc::<Progress>::default();
    let before = pool.time_for(400);
    let second = pool.hash_batch(passwords(400), Arc::clone(&progress)).await;
    let after = pool.time_for(400);
    assert_eq!(progress.total(), 0, "it was not queued");
    assert!(!first.is_finished(), "it waited");
    match second {
        // The rate is measured again with each hash.
        Err(HashError::Busy(Busy { retry_after })) => {
            assert!(retry_after >= Duration::from_secs(1), "{retry_after:?}");
            assert!(
                retry_after <= 2 * before.max(after) + Duration::from_secs(1),
                "{retry_after:?} {before:?} {after:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(first.await.unwrap(), Ok(400));
}

#[test]
fn a_batch_is_accepted_once_the_queue_has_room_for_it() {
    let pool = slow_pool(1000, 86400);
    assert_eq!(admit(&pool, 0, 1_000_000), Ok(()), "the queue is empty");
    assert_eq!(admit(&pool, 600, 400), Ok(()));
    // 1 too many takes 100 ms; 200 too many, 10 s on two threads; all 600, 30 s.
    assert_eq!(retry_after(admit(&pool, 600, 401)), 1);
    assert_eq!(retry_after(admit(&pool, 600, 600)), 10);
    assert_eq!(retry_after(admit(&pool, 600, 5000)), 30);
}

#[test]
fn a_batch_that_would_wait_too_long_is_rejected_with_a_retry_time() {
    let pool = slow_pool(1_000_000, 20);
    // 400 passwords take 20 s on two threads.
    assert_eq!(admit(&pool, 400, 100_000), Ok(()));
    assert_eq!(retry_after(admit(&pool, 401, 1)), 1);
    assert_eq!(retry_after(admit(&pool, 440, 1)), 2);
    assert_eq!(retry_after(admit(&pool, 4000, 1)), 180);
    assert_eq!(admit(&pool, 0, 1_000_000), Ok(()), "the queue is empty");
}

#[test]
fn the_stricter_of_both_bounds_decides() {
    let pool = slow_pool(500, 20);
    // 5 s until the wait is short enough, 25 s until the batch fits.
    assert_eq!(retry_after(admit(&pool, 500, 501)), 25);
    assert_eq!(retry_after(admit(&pool, 500, 20)), 5);
}

#[tokio::test]
async fn an_estimate_is_right_within_a_factor_of_two() {
    let pool = Arc::new(pool(2, 1000));
    pool.hash_batch(passwords(40), Arc::default()).await.unwrap();
    let mut seen = Vec::new();
    // Other tests can take the CPU, but not every time.
    for _ in 0..20 {
        let (_, running) = started(&pool, 20).await;
        let start = Instant::now();
        let estimate = pool.estimate(20);
        pool.hash_batch(passwords(20), Arc::default()).await.unwrap();
        let ratio = start.elapsed().as_secs_f64() / estimate.as_secs_f64();
        running.await.unwrap().unwrap();
        if (0.5..=2.0).contains(&ratio) {
            return;
        }
        seen.push(ratio);
    }
    panic!("actual time as a multiple of the estimate: {seen:?}");
}

#[tokio::test]
async fn the_time_left_includes_the_passwords_ahead_of_a_batch() {
    let pool = Arc::new(pool(1, 10_000));
    let (first, running) = started(&pool, 60).await;
    let second = Arc::<Progress>::default();
    let mut waiting = Box::pin(pool.hash_batch(passwords(1000), Arc::clone(&second)));
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
    let (sooner, later, all) = (pool.time_left(&first), pool.time_left(&second), pool.estimate(0));
    assert!(sooner * 10 < later, "{sooner:?} {later:?}");
    assert!(all.abs_diff(later) < later / 2, "{all:?} {later:?}");
    drop(waiting);
    running.await.unwrap().unwrap();
    assert_eq!(pool.time_left(&first), Duration::ZERO);
}

#[tokio::test]
async fn progress_counts_hashed_passwords() {
    let pool = Arc::new(pool(2, 100));
    let (progress, running) = started(&pool, 30).await;
    assert_eq!(progress.total(), 30);
    let mut before = 0;
    while !running.is_finished() {
        let now = progress.done();
        assert!(before <= now && now <= 30, "{before} {now}");
        before = now;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.await.unwrap().unwrap();
    assert_eq!((progress.done(), progress.total()), (30, 30));
}

#[tokio::test]
async fn a_single_password_is_hashed_before_a_batch() {
    let pool = Arc::new(pool(1, 1000));
    let (_, batch) = started(&pool, 40).await;
    pool.hash(passwords(1).remove(0)).await.unwrap();
    assert!(!batch.is_finished(), "the single password waited for the whole batch");
    batch.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_password_is_verified_before_a_batch() {
    let pool = Arc::new(pool(1, 1000));
    let stored = pool.hash(passwords(1).remove(0)).await.unwrap().as_str().to_owned();
    let (progress, batch) = started(&pool, 40).await;
    let before = progress.done();
    let verified = pool.verify(Secret::new("password 0"), stored.clone()).await.unwrap();
    assert_eq!(verified, Verified { matches: true, needs_rehash: false });
    let verified = pool.verify(Secret::new("password 1"), stored).await.unwrap();
    assert_eq!(verified, Verified { matches: false, needs_rehash: false });
    assert!(progress.done() < before + 20, "a verification waited for a batch");
    assert!(!batch.is_finished());
    batch.await.unwrap().unwrap();
}

#[tokio::test]
async fn other_schemes_are_verified_and_costs_are_limited() {
    let pool = pool(1, 10);
    // Created by libxcrypt.
    let bcrypt = "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";
    let stored = PasswordHash::from(ImportedHash::parse(bcrypt).unwrap()).as_str().to_owned();
    let verified = pool.verify(Secret::new(""), stored).await.unwrap();
    assert_eq!(verified, Verified { matches: true, needs_rehash: true });
    match pool.verify(Secret::new("password"), "$argon2id$v=19$m=4194304,t=1,p=1$AA$AA".to_owned()).await {
        Err(HashError::Failed(error)) => assert_eq!(
            error,
            "invalid stored hash: too costly to verify: argon2's memory (m) must be at most 262144 KiB (256 MiB)"
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cancelled_batch_leaves_the_queue_at_once() {
    let pool = pool(1, 5000);
    let progress = Arc::<Progress>::default();
    let hashing = pool.hash_batch(passwords(5000), Arc::clone(&progress));
    assert!(tokio::time::timeout(Duration::from_millis(50), hashing).await.is_err());
    assert_eq!(pool.waiting().of_batches, 0);
    pool.hash_batch(passwords(2), Arc::default()).await.unwrap();
    assert!(progress.done() < 5000, "the abandoned batch was hashed completely");
}
