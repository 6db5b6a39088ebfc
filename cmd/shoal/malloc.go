//go:build cgo && linux

package main

/*
#include <malloc.h>

// Before Go starts: a thread that has an arena keeps it.
__attribute__((constructor)) static void one_arena(void) {
#ifdef M_ARENA_MAX // of glibc
	mallopt(M_ARENA_MAX, 1);
#endif
}
*/
import "C" // the index of the store has its memory from C

// By itself, glibc gives each thread an arena of its own. What one thread takes there and
// another one gives back leaves holes in all of them: they came to as much again as the
// index uses. In one arena the next one fills them.
