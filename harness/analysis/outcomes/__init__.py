"""Every outcome of a study on one scale each: errors, properties, dynamics; compared alike."""
