// SPDX-License-Identifier: GPL-2.0-only
// Chains through generic functions, closures, trait objects, inlined functions, threads, and values that are dropped while a
// panic unwinds the stack. Each maps a number of pages that no other one does.
use std::hint::black_box;
use std::panic;
use std::thread;

extern "C" {
    fn mmap(addr: usize, len: usize, prot: i32, flags: i32, fd: i32, off: i64) -> usize;
    fn munmap(addr: usize, len: usize) -> i32;
}

#[inline(never)]
fn gamma(pages: usize) -> usize {
    unsafe {
        let at = mmap(0, pages * 4096, 1, 0x22, -1, 0);
        black_box(munmap(at, pages * 4096)) as usize + 1
    }
}

#[inline(never)]
fn beta(pages: usize) -> usize {
    gamma(pages) + 1
}

#[inline(never)]
fn alpha(pages: usize) -> usize {
    beta(pages) + 1
}

trait Shape {
    fn area(&self, pages: usize) -> usize;
}

struct Square;

impl Shape for Square {
    #[inline(never)]
    fn area(&self, pages: usize) -> usize {
        beta(pages) + 1
    }
}

mod generic {
    #[inline(never)]
    pub fn apply<T, F: Fn(T) -> usize>(function: F, argument: T) -> usize {
        function(argument) + 1
    }
}

struct Guard(usize);

impl Drop for Guard {
    #[inline(never)]
    fn drop(&mut self) {
        black_box(gamma(self.0) + 1);
    }
}

#[inline(never)]
fn thrower(pages: usize) -> usize {
    let guard = Guard(pages);
    if black_box(true) {
        panic!("known");
    }
    black_box(guard.0)
}

#[inline(always)]
fn within(pages: usize) -> usize {
    gamma(pages) + 1
}

#[inline(never)]
fn around(pages: usize) -> usize {
    within(pages) + 1
}

#[inline(never)]
fn fill(len: usize) -> usize {
    let room: Vec<u8> = Vec::with_capacity(len);
    black_box(&room);
    room.capacity()
}

#[inline(never)]
fn all() -> usize {
    let shape: Box<dyn Shape> = black_box(Box::new(Square));
    panic::set_hook(Box::new(|_| {}));
    let mut sum = alpha(301) + 1;
    sum += shape.area(302) + 1;
    sum += generic::apply(|pages: usize| beta(pages) + 1, 303) + 1;
    sum += panic::catch_unwind(|| thrower(304) + 1).unwrap_or(1);
    sum += around(305) + 1;
    sum += thread::spawn(|| alpha(306) + 1).join().unwrap();
    sum + fill(307 * 4096) + 1
}

fn main() {
    black_box(all() + 1);
}
