"""Reports people read: tables, figures and one static page per study."""
