//go:build cgo && linux

package main

/*
// The index of the store has its memory from C. By itself, glibc gives each thread an arena
// of its own, and what one thread takes there and another one gives back leaves holes in all
// of them: they came to as much again as the index uses. In one arena the next one fills
// them. It is set before Go starts, because a thread that has an arena keeps it.

#include <malloc.h>

__attribute__((constructor)) static void one_arena(void) {
#ifdef M_ARENA_MAX // of glibc
	mallopt(M_ARENA_MAX, 1);
#endif
}
*/
import "C"
