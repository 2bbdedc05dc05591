package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"millrace/internal/kafkaconn"
	"millrace/internal/kafkaconn/kafkatest"
)

// TestTransactionRights: each right that is missing is named, one after another.
func TestTransactionRights(t *testing.T) {
	t.Parallel()
	b := startBare(t, kfake.User(kafkaconn.ScramSHA512, user, password))
	rights(t, b, newNode(t, b, txDefaults(b), "a"))
}

func rights(t *testing.T, b *kafkatest.Broker, n *node) {
	first := n.start() // the super user makes the topic for positions
	first.awaitRestore()
	first.stop()
	n.config.Conn = b.Conn(user, password)
	a := n.start()
	allow := func(what string, acl *kadm.ACLBuilder) {
		t.Helper()
		a.unready(`user "agent" needs ` + what)
		check(t, b.Admin(func(admin *kadm.Client) error {
			created, err := admin.CreateACLs(deadline(t), acl.Allow("User:"+user).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral))
			for _, one := range created {
				err = one.Err
			}
			return err
		}))
	}
	positions := n.config.Transaction.PositionsTopic
	allow(`Write on topic "`+n.config.Topic+`"`, kadm.NewACLs().Operations(kadm.OpDescribe).Topics(n.config.Topic))
	allow(`Write on topic "`+positions+`"`, kadm.NewACLs().Operations(kadm.OpDescribe).Topics(positions))
	allow(`Write on transactional id "`+n.life.TransactionalID+`"`, kadm.NewACLs().Operations(kadm.OpWrite).TransactionalIDs(n.life.TransactionalID))
	allow(`Write on topic "`+positions+`"`, kadm.NewACLs().Operations(kadm.OpWrite).Topics(positions))
	allow(`Read on topic "`+positions+`"`, kadm.NewACLs().Operations(kadm.OpRead).Topics(positions))
	n.line("proxy", 20)
	a.awaitRestore()
	a.out.Write(a.read(20, "proxy"))
	allow(`Write on topic "`+n.config.Topic+`"`, kadm.NewACLs().Operations(kadm.OpWrite).Topics(n.config.Topic))
	a.pump()
	a.stop()
	n.exact()
	t.Logf("reported %q", a.state.history)
}
