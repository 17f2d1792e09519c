"""Many trials trained together on one device."""
