using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>Who is asked to a broadcast without a server.</summary>
/// <param name="Listen">Where receivers come to; the stream itself goes over a port that the kernel chooses.</param>
/// <param name="Names">The receivers that are awaited, in the order of the chain; empty where only their number is known.</param>
/// <param name="Count">How many receivers are awaited.</param>
/// <param name="Patience">How long they are awaited; then it goes on with those that have come, or ends when none has.</param>
public sealed record Invitation(IPEndPoint Listen, BroadcastKey Key, ImmutableArray<string> Names, int Count, TimeSpan Patience, ChainOptions Options);

/// <summary>The receivers of a broadcast without a server, as its sender knows them: who has come, how each is, who is lost.</summary>
sealed class Roster(Invitation invitation)
{
    /// <summary>A receiver that reports again within this time was only slow.</summary>
    static readonly TimeSpan LostFor = TimeSpan.FromSeconds(5);

    /// <summary>The same for one that has not reported yet: its program may still be starting.</summary>
    static readonly TimeSpan UnheardFor = TimeSpan.FromSeconds(30);

    readonly object _gate = new();
    readonly List<Attendee> _receivers = [];
    readonly Dictionary<string, string> _withdrawn = new(StringComparer.Ordinal);
    readonly TaskCompletionSource<IPEndPoint> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    long _begunAt;
    bool _begun;

    public Task<IPEndPoint> Listening => _listening.Task;

    /// <summary>Guards every <see cref="Attendee"/>; pulsed when something was heard.</summary>
    public object Gate => _gate;

    /// <summary>In the order of the broadcast, once it has begun.</summary>
    public IReadOnlyList<Attendee> Receivers => _receivers;

    /// <summary>Called under the gate for every report.</summary>
    public Action<Attendee, ChainProgress>? Reported { get; set; }

    /// <summary>Every receiver that was awaited or has come.</summary>
    public ImmutableArray<ReceiverState> States
    {
        get
        {
            lock (_gate)
            {
                return
                [
                    .. _receivers.Select(r => new ReceiverState(r.Name, r.State, r.Peer, r.Progress, r.Code, r.Message, r.Slow, r.Took)),
                    .. invitation.Names.Where(n => _receivers.All(r => r.Name != n)).Select(n => new ReceiverState(n, "absent", null, null, FaultCodes.BroadcastUnreachable.Text, _withdrawn.GetValueOrDefault(n, "it did not come"))),
                ];
            }
        }
    }

    /// <summary>Lets receivers come through a door, until that is disposed. Null, or why they cannot.</summary>
    public Fault? Open(Socket door)
    {
        try
        {
            door.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            door.Bind(invitation.Listen);
            door.Listen(256);
            _listening.TrySetResult((IPEndPoint)door.LocalEndPoint!);
        }
        catch (SocketException e)
        {
            _listening.TrySetCanceled(CancellationToken.None);
            return Fault.Of(FaultCodes.RequestInvalid, $"{invitation.Listen} cannot be listened on: {e.Message}");
        }
        new Thread(() => Accept(door)) { IsBackground = true, Name = "bcast accept" }.Start();
        return null;
    }

    /// <summary>A receiver that is awaited will not come.</summary>
    public void Withdraw(string name, string why)
    {
        lock (_gate)
        {
            _withdrawn[name] = why;
            Monitor.PulseAll(_gate);
        }
    }

    void Accept(Socket door)
    {
        while (true)
        {
            Socket accepted;
            try
            {
                accepted = door.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
            new Thread(() => Attend(accepted)) { IsBackground = true, Name = "bcast attend" }.Start();
        }
    }

    void Attend(Socket accepted)
    {
        Attendee? receiver = null;
        try
        {
            accepted.ReceiveTimeout = (int)invitation.Options.Join.TotalMilliseconds;
            using var line = ControlLine.Open(accepted, invitation.Key, isSender: true);
            if (line.Receive() is not Joined joined)
            {
                return;
            }
            accepted.ReceiveTimeout = 0;
            receiver = new Attendee(line, joined.Name, new ChainPeer(line.Peer.ToString(), joined.Port));
            lock (_gate)
            {
                if (_begun || _receivers.Any(r => r.Name == joined.Name) || (invitation.Names.Length > 0 && !invitation.Names.Contains(joined.Name)))
                {
                    return; // it sees the line end
                }
                _receivers.Add(receiver);
                Monitor.PulseAll(_gate);
            }
            while (line.Receive() is { } message)
            {
                Take(receiver, message);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidDataException)
        {
            // a receiver that is gone, below; or somebody who is none
        }
        finally
        {
            accepted.Dispose();
            Leave(receiver, "its connection was lost");
        }
    }

    void Take(Attendee receiver, ControlMessage message)
    {
        lock (_gate)
        {
            receiver.HeardAt = Stopwatch.GetTimestamp();
            switch (message)
            {
                case Progressed progressed:
                    receiver.Progress = progressed.Progress;
                    Reported?.Invoke(receiver, progressed.Progress);
                    break;
                case Ended ended:
                    (receiver.Progress, receiver.Code, receiver.Message) = (ended.Progress, ended.Code, ended.Message);
                    receiver.State = ended.Code is null ? "done" : "failed";
                    receiver.Took = ended.Code is null ? Stopwatch.GetElapsedTime(_begunAt) : null;
                    break;
            }
            Monitor.PulseAll(_gate);
        }
        if (receiver.State == "failed")
        {
            Announce(receiver);
        }
    }

    /// <summary>This one has ended by what the sender found: it is awaited no longer, though it may not even hear so.</summary>
    public void GiveUp(Attendee receiver, FaultCode code, string why)
    {
        lock (_gate)
        {
            if (receiver.HasEnded)
            {
                return;
            }
            (receiver.State, receiver.Code, receiver.Message) = ("failed", code.Text, why);
            Monitor.PulseAll(_gate);
        }
        Tell(receiver, new Evicted(why));
        Announce(receiver);
    }

    /// <summary>This one is lost, or never was one; once.</summary>
    public void Leave(Attendee? receiver, string why)
    {
        if (receiver is null)
        {
            return;
        }
        lock (_gate)
        {
            if (!_begun)
            {
                _receivers.Remove(receiver);
            }
            else if (!receiver.HasEnded)
            {
                (receiver.State, receiver.Code, receiver.Message) = ("lost", FaultCodes.BroadcastLost.Text, why);
            }
            Monitor.PulseAll(_gate);
        }
        Announce(receiver);
    }

    /// <summary>Tells the others that this one is of no more use; once.</summary>
    void Announce(Attendee lost)
    {
        Attendee[] others;
        lock (_gate)
        {
            if (!_begun || lost.Announced)
            {
                return;
            }
            lost.Announced = true;
            others = [.. _receivers.Where(r => r != lost && !r.HasEnded)];
        }
        foreach (var other in others)
        {
            Tell(other, new Lost(lost.Peer));
        }
    }

    public static void Tell(Attendee receiver, ControlMessage message)
    {
        try
        {
            receiver.Line.Send(message);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // whoever reads its line sees that it is gone
        }
    }

    /// <summary>Awaits receivers, and begins with those that have come: their order is settled now. Null, or why it cannot begin.</summary>
    public Fault? Gather(Action changed, CancellationToken cancel)
    {
        var begun = Stopwatch.GetTimestamp();
        lock (_gate)
        {
            while (_receivers.Count < invitation.Count - _withdrawn.Keys.Count(n => _receivers.All(r => r.Name != n)) && Stopwatch.GetElapsedTime(begun) < invitation.Patience)
            {
                cancel.ThrowIfCancellationRequested();
                Monitor.Wait(_gate, StandaloneSender.ReportPeriod);
                changed();
            }
            (_begun, _begunAt) = (true, Stopwatch.GetTimestamp());
            var order = invitation.Names;
            _receivers.Sort((a, b) => order.Length > 0 ? order.IndexOf(a.Name).CompareTo(order.IndexOf(b.Name)) : NaturalOrder.Comparer.Compare(a.Name, b.Name));
            for (var i = 0; i < _receivers.Count; i++)
            {
                _receivers[i].Place = i;
            }
            foreach (var receiver in _receivers)
            {
                (receiver.State, receiver.HeardAt) = (receiver.HasEnded ? receiver.State : "receiving", Stopwatch.GetTimestamp());
            }
            return _receivers.Count > 0 ? null : Fault.Of(
                FaultCodes.BroadcastUnreachable, _withdrawn.Count > 0 ? "No receiver could be started." : $"No receiver came within {invitation.Patience.TotalSeconds:0} s.", null);
        }
    }

    /// <summary>Tells the others of those that have become silent, and gives up those that stay so.</summary>
    public void Check()
    {
        Attendee[] silent;
        lock (_gate)
        {
            silent = [.. _receivers.Where(r => !r.HasEnded && Stopwatch.GetElapsedTime(r.HeardAt) > invitation.Options.Silence)];
        }
        foreach (var receiver in silent)
        {
            Announce(receiver);
            var limit = receiver.Progress is null ? UnheardFor : LostFor;
            if (Stopwatch.GetElapsedTime(receiver.HeardAt) > limit)
            {
                Leave(receiver, $"nothing was heard of it for {limit.TotalSeconds:0} s");
            }
        }
    }

    /// <summary>Nobody needs any receiver any more.</summary>
    public void Dismiss()
    {
        foreach (var receiver in _receivers)
        {
            Tell(receiver, new Dismissed());
            receiver.Line.Dispose();
        }
    }
}
