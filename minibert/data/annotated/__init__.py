"""Text with answers, in the formats that many projects share."""
