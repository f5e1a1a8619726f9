"""The five papers' systems side by side: trained alike, exported, measured on the same scans."""
