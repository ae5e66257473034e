-- What a plan wants to know of what is missing, without the long rows around it: a start reads this of every camera.
CREATE INDEX narrow_missing ON missing (device, start, end, cause, attempts);
