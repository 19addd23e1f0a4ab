//go:build !race

package storetest

const oftenRounds = 1000
