package pool

// heap is a heap ordered by less, in which each item has heapWidth children. It exists
// because container/heap boxes every element, and the heaps of wanted keys are touched
// twice for each block.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
}

// heapWidth makes a heap flat: with a million keys in it, each level is a miss of the
// cache, and the children of an item share one.
const heapWidth = 4

func (h *heap[T]) len() int { return len(h.items) }

func (h *heap[T]) peek() T { return h.items[0] }

func (h *heap[T]) push(x T) {
	h.items = append(h.items, x)
	i := len(h.items) - 1
	for i > 0 {
		parent := (i - 1) / heapWidth
		if !h.less(x, h.items[parent]) {
			break
		}
		h.items[i] = h.items[parent]
		i = parent
	}
	h.items[i] = x
}

func (h *heap[T]) pop() T {
	top := h.items[0]
	last := len(h.items) - 1
	x := h.items[last]
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	if last > 0 {
		h.sink(0, x)
	}
	return top
}

// init orders items that were put in without order.
func (h *heap[T]) init() {
	for i := len(h.items) / heapWidth; i >= 0 && i < len(h.items); i-- {
		h.sink(i, h.items[i])
	}
}

// sink puts x where item i was, or below.
func (h *heap[T]) sink(i int, x T) {
	for {
		first := heapWidth*i + 1
		if first >= len(h.items) {
			break
		}
		least := first
		for child := first + 1; child < min(first+heapWidth, len(h.items)); child++ {
			if h.less(h.items[child], h.items[least]) {
				least = child
			}
		}
		if !h.less(h.items[least], x) {
			break
		}
		h.items[i] = h.items[least]
		i = least
	}
	h.items[i] = x
}
