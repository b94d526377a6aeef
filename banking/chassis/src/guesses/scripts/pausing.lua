-- Returns the ms that the name has to wait.
return pause_left()
