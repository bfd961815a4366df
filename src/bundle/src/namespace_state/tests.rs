// Tests land below.
