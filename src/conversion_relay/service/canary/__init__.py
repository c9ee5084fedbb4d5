"""The canary: a test event that regularly goes the whole way, from the webhook to TikTok."""
