using System.Collections.Immutable;
using System.Net.Sockets;

namespace Ka.Broadcast;

/// <summary>Finds out which of several peers live: all are asked at once, so that many dead ones cost no more than one.</summary>
static class Probing
{
    const int StackBytes = 128 * 1024;

    enum Answer
    {
        None,
        Lives,
        Dead,
    }

    /// <summary>The first in the order of preference that proves to live and to know the broadcast; null when none does in time.</summary>
    public static ChainPeer? First(ImmutableArray<ChainPeer> peers, BroadcastKey key, ChainOptions options)
    {
        if (peers.IsEmpty)
        {
            return null;
        }
        var gate = new object();
        var answers = new Answer[peers.Length];
        for (var i = 0; i < peers.Length; i++)
        {
            var at = i;
            options.World.Start("chain probe", StackBytes, () =>
            {
                var lives = Lives(peers[at], key, options);
                lock (gate)
                {
                    answers[at] = lives ? Answer.Lives : Answer.Dead;
                    options.World.PulseAll(gate);
                }
            });
        }
        var begun = options.World.Now();
        TimeSpan? answered = null;
        lock (gate)
        {
            while (true)
            {
                var best = Array.IndexOf(answers, Answer.Lives);
                var now = options.World.Since(begun);
                answered ??= best < 0 ? null : now;
                var left = (answered is { } first ? first + options.ProbeGrace : options.Probe) - now;
                if (left <= TimeSpan.Zero || (best >= 0 && !answers.Take(best).Contains(Answer.None)) || answers.All(a => a == Answer.Dead))
                {
                    return best < 0 ? null : peers[best];
                }
                options.World.Wait(gate, left);
            }
        }
    }

    static bool Lives(ChainPeer peer, BroadcastKey key, ChainOptions options)
    {
        try
        {
            using var connection = ChainConnection.Dial(peer, options with { Connect = options.Probe });
            connection.SetTimeouts(options.Probe, options.Probe);
            return Handshake.Ask(connection, key, new Wish(0, IsProbe: true));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
