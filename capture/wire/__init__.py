"""Wire formats: the shapes of bodies that providers speak. This package knows no Django."""
