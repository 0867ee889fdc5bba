"""One picture in: a film of any file, picture or array, as the grey values the network takes."""
