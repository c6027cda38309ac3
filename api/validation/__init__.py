"""Hyper-parameters and group weights by cross-validation on a data set's training part."""
