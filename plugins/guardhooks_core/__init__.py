"""The plugins in the box. They use only guardhooks' public names and load by entry point, like anyone's."""
