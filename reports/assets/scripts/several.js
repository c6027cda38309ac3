// Start of a page of several runs: its panels follow the switches, and the address.

view.start();
panels.show();
panels.watch();
tables.watch(document.body);
words.start();
links.start();
state.listen(() => {
  view.follow();
  panels.show();
});
