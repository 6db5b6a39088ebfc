package downloader

// bell wakes a goroutine that waits for its one slot. Whoever rings does not wait, and to
// ring twice is as good as once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
