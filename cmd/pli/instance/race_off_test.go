//go:build !race

package instance

// raceEnabled makes the drill smaller where the race detector slows it down.
const raceEnabled = false
