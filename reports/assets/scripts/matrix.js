// The first screen: the matrix chooser × model as a picture, and the learning curves of the cell that is chosen.
