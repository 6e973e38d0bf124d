"""The programs that `realtime` is compared with, each written here the way its own documentation would write it."""
