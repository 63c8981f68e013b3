package main

func matrices(l *list) {}
func apis(l *list)     {}
func programs(l *list) {}
