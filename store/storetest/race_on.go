//go:build race

package storetest

// oftenRounds is how often KillOften kills where CI=true: a thousand times
// without the race detector, which has nothing to add to that.
const oftenRounds = 100
