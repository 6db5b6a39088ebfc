package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/shoalnet/shoal/api"
)

const (
	// topInterval is how often a picture is made anew: as often as one can read it.
	topInterval = time.Second

	// defaultWidth is that of a picture that is not for a terminal.
	defaultWidth = 80
)

func newTop() *cobra.Command {
	o := &options{}
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running node on the terminal",
		Long: `Watch the node that uses the data directory: what it does, how far a sync is and what comes
in, what each peer brings, where the time goes, and what happened last. The picture is made
anew each second. The key of a column sorts the peers by it; q or Ctrl-C leaves.`,
		Example: `  shoal top
  shoal top --once --datadir other`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !once && !(isTerminal(os.Stdin) && isTerminal(os.Stdout)) {
				return usage("top draws on a terminal, and here is none: --once prints one picture, \"shoal status\" says the same in words")
			}
			v, err := o.view(cmd.Context())
			if err != nil {
				return err
			}
			if once {
				width, _, err := term.GetSize(int(os.Stdout.Fd()))
				if err != nil {
					width = defaultWidth
				}
				_, err = fmt.Println(picture(v, width, 0, orders[0].key))
				return err
			}
			_, err = tea.NewProgram(&top{ctx: cmd.Context(), ask: o.view, view: v, by: orders[0].key},
				tea.WithContext(cmd.Context()), tea.WithoutSignalHandler()).Run()
			if cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			return err
		},
	}
	o.addDataDir(cmd)
	o.addNetwork(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "print one picture and end")
	return cmd
}

// view asks the node that runs.
func (o *options) view(ctx context.Context) (*api.View, error) {
	v := &api.View{}
	err := o.ask(ctx, "shoal_view", v)
	if errors.Is(err, api.ErrNotRunning) {
		return nil, fmt.Errorf("no node runs with %s: top watches one that does", o.dataDir)
	}
	return v, err
}

// top is the program on the terminal: the last picture, and what is to be done about keys and
// sizes. It belongs to the loop that calls its methods.
type top struct {
	ctx           context.Context // of the command
	ask           func(context.Context) (*api.View, error)
	view          *api.View
	err           error // the node could not be asked any more; the picture is an old one
	width, height int
	by            order
}

// looked is the answer of the node.
type looked struct {
	view *api.View
	err  error
}

// look asks the node when it is time.
func (t *top) look() tea.Cmd {
	return tea.Tick(topInterval, func(time.Time) tea.Msg {
		v, err := t.ask(t.ctx)
		return looked{v, err}
	})
}

// Init implements tea.Model.
func (t *top) Init() tea.Cmd { return t.look() }

// Update implements tea.Model.
func (t *top) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = m.Width, m.Height
	case looked:
		if t.err = m.err; m.err == nil {
			t.view = m.view
		}
		return t, t.look()
	case tea.KeyPressMsg:
		key := m.String()
		if key == "q" || key == "ctrl+c" {
			return t, tea.Quit
		}
		for _, o := range orders {
			if o.key == order(key) {
				t.by = o.key
			}
		}
	}
	return t, nil
}

// View implements tea.Model.
func (t *top) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	if t.width > 0 {
		shown := *t.view
		if t.err != nil {
			shown.Summary = "An old picture: " + t.err.Error()
		}
		v.Content = picture(&shown, t.width, t.height, t.by)
	}
	return v
}
