//! Doors for the fuzz targets.
