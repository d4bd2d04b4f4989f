"""Speech recognizers: a small CTC network trained by this toolkit, and models of Hugging Face."""
