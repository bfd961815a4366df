// Tests land with the rest.
