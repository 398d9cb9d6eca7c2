"""What teachers print from a compiled program: pictures, worked pages, worksheets, notebooks."""
