// SPDX-License-Identifier: GPL-2.0-only
// Chains through virtual calls, destructors that run while the stack is unwound, and handlers of exceptions.
#include "chains.h"

#include <cstdint>
#include <cstdio>
#include <stdexcept>

namespace
{

int sink;

struct Shape {
	virtual ~Shape() = default;
	virtual int area(size_t pages) = 0;
};

} // namespace

struct Square : Shape {
	__attribute__((noinline)) int area(size_t pages) override;
};

int Square::area(size_t pages)
{
	return chain_beta(pages) + 1;
}

struct Guard {
	__attribute__((noinline)) ~Guard();
};

Guard::~Guard()
{
	sink += chain_gamma(222) + 1;
}

__attribute__((noinline)) int chain_throw(int depth)
{
	Guard guard;

	if (depth)
		return chain_throw(depth - 1) + 1;
	throw std::runtime_error("known");
}

__attribute__((noinline)) int chain_catch()
{
	try {
		return chain_throw(0) + 1;
	} catch (const std::exception &) {
		return chain_alpha(223) + 1;
	}
}

int main()
{
	Square square;
	Shape *volatile shape = &square;

	std::printf("main %p\n", reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(main)));
	std::fflush(stdout);
	sink += shape->area(221);
	sink += chain_catch();
	return sink == 0;
}
