//! One violation a line. The mark at a line's end names the lint, and for a ban the banned path.

use rand::rngs::SysRng; //~ clippy::disallowed_types rand::rngs::SysRng
use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};
use std::time::{Instant, SystemTime};

/// Reads clocks.
pub fn clocks() {
    let _ = chrono::Utc::now(); //~ clippy::disallowed_methods chrono::Utc::now
    let _ = Instant::now(); //~ clippy::disallowed_methods std::time::Instant::now
    let _ = SystemTime::now(); //~ clippy::disallowed_methods std::time::SystemTime::now
    let _ = SystemTime::UNIX_EPOCH.elapsed(); //~ clippy::disallowed_methods std::time::SystemTime::elapsed
    let _ = clock_gettime(ClockId::RealtimeCoarse); //~ clippy::disallowed_methods rustix::time::clock_gettime
    let _ = clock_gettime_dynamic(DynamicClockId::Boottime); //~ clippy::disallowed_methods rustix::time::clock_gettime_dynamic
    std::thread::sleep(std::time::Duration::ZERO); //~ clippy::disallowed_methods std::thread::sleep
}

/// Draws randomness.
pub fn randomness(bytes: &mut [u8]) {
    let _: SysRng = SysRng;
    let _: rand::rngs::StdRng = rand::make_rng(); //~ clippy::disallowed_methods rand::make_rng
    let _ = rand::rng(); //~ clippy::disallowed_methods rand::rng
    let _: u64 = rand::random(); //~ clippy::disallowed_methods rand::random
    let _ = rand::random_bool(0.5); //~ clippy::disallowed_methods rand::random_bool
    let _ = rand::random_iter::<u8>(); //~ clippy::disallowed_methods rand::random_iter
    let _: u8 = rand::random_range(0..9); //~ clippy::disallowed_methods rand::random_range
    let _ = rand::random_ratio(1, 2); //~ clippy::disallowed_methods rand::random_ratio
    rand::fill(bytes); //~ clippy::disallowed_methods rand::fill
}

/// Reads the environment.
pub fn environment() {
    let _ = std::env::var("HOME"); //~ clippy::disallowed_methods std::env::var
    let _ = std::env::var_os("HOME"); //~ clippy::disallowed_methods std::env::var_os
    let _ = std::env::vars(); //~ clippy::disallowed_methods std::env::vars
    let _ = std::env::vars_os(); //~ clippy::disallowed_methods std::env::vars_os
}

/// Prints.
pub fn printing() {
    dbg!(); //~ clippy::disallowed_macros std::dbg
    eprint!("a"); //~ clippy::disallowed_macros std::eprint
    eprintln!("a"); //~ clippy::disallowed_macros std::eprintln
    print!("a"); //~ clippy::disallowed_macros std::print
    println!("a"); //~ clippy::disallowed_macros std::println
}

/// Panics.
pub fn panics(bytes: &[u8], number: Option<u64>) -> u64 {
    let _ = number.unwrap(); //~ clippy::unwrap_used
    let _ = number.expect("a number"); //~ clippy::expect_used
    let _ = bytes[0]; //~ clippy::indexing_slicing
    let _ = bytes.len() as u64 + 1; //~ clippy::arithmetic_side_effects
    panic!("planted"); //~ clippy::panic
}

pub fn undocumented() {} //~ missing_docs

/// Silences a lint without saying that it still applies.
#[allow(dead_code)] //~ clippy::allow_attributes
fn silenced() {}

/// Uses what the compiler cannot check.
pub fn unchecked() {
    unsafe {} //~ unsafe_code
}
